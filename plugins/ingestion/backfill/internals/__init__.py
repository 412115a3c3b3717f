"""The only modules that lean on Airflow's internals (written for 3.3.2); an upgrade of Airflow is mended here.

Each public function opens a session of its own and closes it before it returns: nobody waits while holding one.
"""
