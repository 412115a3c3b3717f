"""The tasks of a feed's DAG behind `detect_new_files`."""
