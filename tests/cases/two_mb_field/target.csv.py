HEADER = "order_num,tracking_num,pck_recieved_date,package_deliver_date,status,address,last_update_timestamp"
REST = "2026-11-20 10:00:00,order_tracking_2026_11_20.csv,1"

print(f"{HEADER},file,delivery,record")
for n, address in enumerate(["x" * 2_000_000 + "end", "1 Main St"], start=1):
    print(f"O1,two_mb_field-{n},2026-11-18,,IN_TRANSIT,{address},{REST},{n}")
