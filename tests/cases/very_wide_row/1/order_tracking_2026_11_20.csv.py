print("order_num,tracking_num,pck_recieved_date,package_deliver_date,status,address,last_update_timestamp")
print("O1,very_wide_row-1,2026-11-18,,IN_TRANSIT,1 Main St,2026-11-20 10:00:00" + ",x" * 3_000)
print("O1,very_wide_row-2,2026-11-18,,IN_TRANSIT,1 Main St,2026-11-20 10:00:00")
