"""The same rooms, later: a job's id comes in, the room that does it is called, and what became of it is on record.

To add a kind of job: write `def my_kind(home: Home, job: ClaimedJob) -> None` in a module here, name it in
`JOB_FUNCTIONS` (workers/functions.py), and enqueue it with `home.jobs.enqueue([NewJob("my-kind", "batch", subject)])`,
or with `home.jobs.add(session, …)` in the transaction that writes what it works on; then `ring(home, ids)` after the
commit (workers/doorbell.py). The function reads the present by the subject's id, works with no transaction open, and
publishes in one short transaction that begins with `home.jobs.fence(session, job)`, or ends with
`home.jobs.finish(session, job)`: either raises `LeaseLost` when another worker has the job. Signs of life, attempts
and dead letters are the runner's (workers/run.py). It may run twice or late: a job whose result is there already does
nothing. `Transient` lets it wait for a neighbour, any other error of ours is a failed attempt.
"""
