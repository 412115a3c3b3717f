"""Datetime patterns of feeds, those that can be read and those that cannot: for plan_batch and for Spark alike."""

READABLE = [
    *("yyyy-MM-dd", "yyyyMMdd", "dd.MM.yyyy", "d.M.yy", "M/d/yyyy", "d MMM yyyy", "MMMM d, yyyy", "yyyyDDD"),
    *("yyyy-MM-dd HH:mm:ss[.SSSSSS]", "yyyy-MM-dd'T'HH:mm:ss[.SSS][XXX]", "M/d/yyyy h:mm a", "dd-MMM-yyyy hh:mm:ss a"),
    *("yyyyMMddHHmmss", "yyyy-MM-dd HH:mm:ss,SSS", "yyyy-MM-dd HH:mm:ss VV", "yyyy-MM-dd HH:mm:ss z", "kk:mm d.M.y"),
]
# Each with what is probably meant, None where nothing is.
UNREADABLE = {
    "YYYY-MM-DD": "yyyy-MM-dd",
    "%Y-%m-%d": "yyyy-MM-dd",
    "%d.%m.%Y %H:%M:%S": "dd.MM.yyyy HH:mm:ss",
    "DD/MM/YYYY HH24:MI:SS": "dd/MM/yyyy HH:mm:ss",
    "DD-MON-YYYY HH:MI:SS AM": "dd-MMM-yyyy hh:mm:ss a",
    "HH24:MI:SS": None,
    "": None,
    "   ": None,
    "yyyy-MM-dd'": None,
    "yyyy-MM-dd [HH:mm": None,
    "yyyy-MM-dd HH:mm]": None,
    "yyyy-MM-dd {HH}": None,
    "E, d MMM yyyy": None,
    "ddd.MM.yyyy": None,
    "yyyy-MM-ddTHH:mm:ss": "yyyy-MM-dd'T'HH:mm:ss",
}
# Spark reads something by these, but not what was meant.
MISREAD = {
    "yyyy-mm-dd hh:mm": "yyyy-MM-dd HH:mm",
    "yyyy-MM-dd HH:MM:SS": "yyyy-MM-dd HH:mm:ss",
    "yyyy-MM-dd hh:mm:ss": "yyyy-MM-dd HH:mm:ss",
    "mm/dd/yyyy": "MM/dd/yyyy",
    "yyyy-MM": None,
    "HH:mm:ss": None,
    "yyyy-MM-dd HH:ss": None,
    "yyyy-MM-dd HH:mm a": "yyyy-MM-dd hh:mm a",
}
