import io
import sys
import zipfile

HEADER = "order_num,tracking_num,pck_recieved_date,package_deliver_date,status,address,last_update_timestamp"
ROW = "O1,zip_bytes-1,2026-11-18,,IN_TRANSIT,1 Main St,2026-11-20 10:00:00"
buffer = io.BytesIO()
with zipfile.ZipFile(buffer, "w") as archive:
    archive.writestr(zipfile.ZipInfo("order_tracking_2026_11_20.csv"), HEADER + "\n" + ROW + "\n")
sys.stdout.buffer.write(buffer.getvalue())
