"""cryodeco as an external job of CryoSPARC, over stock cryosparc-tools: `cryodeco cryosparc run | publish | check`.

    __main__.py   words in, an exit code out
    instance.py   the connection, and the one place that knows both generations of the client
    child.py      the program as a child process: its lines, its end
    driver.py     the life of a job: check, create, train, watch, publish
    outputs.py    what a finished run gives to CryoSPARC
"""
