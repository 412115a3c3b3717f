print("order_num,tracking_num,pck_recieved_date,package_deliver_date,status,address,last_update_timestamp")
print("O1,two_mb_field-1,2026-11-18,,IN_TRANSIT," + "x" * 2_000_000 + "end,2026-11-20 10:00:00")
print("O1,two_mb_field-2,2026-11-18,,IN_TRANSIT,1 Main St,2026-11-20 10:00:00")
