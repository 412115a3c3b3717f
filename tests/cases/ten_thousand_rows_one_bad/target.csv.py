HEADER = "order_num,tracking_num,pck_recieved_date,package_deliver_date,status,address,last_update_timestamp"
REST = "2026-11-18,,IN_TRANSIT,1 Main St,2026-11-20 10:00:00,order_tracking_2026_11_20.csv,1"

print(f"{HEADER},file,delivery,record")
for n in range(1, 10_001):
    if n != 5_000:
        print(f"O{n},ten_thousand_rows_one_bad-{n},{REST},{n}")
