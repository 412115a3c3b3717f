print("order_num,tracking_num,pck_recieved_date,package_deliver_date,status,address,last_update_timestamp")
for n in range(1, 10_001):
    updated = "never" if n == 5_000 else "2026-11-20 10:00:00"
    print(f"O{n},ten_thousand_rows_one_bad-{n},2026-11-18,,IN_TRANSIT,1 Main St,{updated}")
