import gzip
import sys

HEADER = b"order_num,tracking_num,pck_recieved_date,package_deliver_date,status,address,last_update_timestamp"
ROW = b"O1,gzip_bytes-1,2026-11-18,,IN_TRANSIT,1 Main St,2026-11-20 10:00:00"
sys.stdout.buffer.write(gzip.compress(HEADER + b"\n" + ROW + b"\n", mtime=0))
