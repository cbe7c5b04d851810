#!/usr/bin/env bash
# A Dask worker that is sent a function of a module that it lacks leaves the cluster, and the future never hears of it.
#
# One would expect the ModuleNotFoundError as the future's exception: that is what `Client.run` of the same function
# gives. But distributed 2026.8.0's worker fails while it reads the message, closes itself as if it had been asked to
# (status 0; its nanny starts no other), and the task, which is not held to be the cause, waits for the next worker.
#
# Seen: Client.run: Exception('ModuleNotFoundError("No module named \'only_here\'")')
#       Client.submit: future pending, workers left 0, exit status of the worker 0
#
# Fails if the future hears of it, or the worker stays. Takes Python 3.11 or newer (set PYTHON to choose one).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet distributed==2026.8.0 dask==2026.8.0
mkdir client
echo 'def double(number): return 2 * number' > client/only_here.py
cat > client/main.py <<'P'
import subprocess
import sys
import time

import distributed
import only_here

if __name__ == "__main__":
    print("distributed", distributed.__version__)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster,  # its scheduler is in this process
        distributed.Client(cluster) as client,
    ):
        command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--no-dashboard"]
        with open("worker.log", "w") as log:
            worker = subprocess.Popen([*command, "--nthreads", "1"], stderr=log)
        client.wait_for_workers(1)
        [answer] = client.run(only_here.double, 1, on_error="return").values()
        print("Client.run:", repr(answer))
        future = client.submit(only_here.double, 1)
        try:
            status = worker.wait(timeout=60)
        except subprocess.TimeoutExpired:
            worker.kill()
            status = None
        time.sleep(5)
        there = len(client.scheduler_info()["workers"])
        print(f"Client.submit: future {future.status}, workers left {there}, exit status of the worker {status}")
        as_seen = "No module named" in str(answer) and (future.status, there, status) == ("pending", 0, 0)
    sys.exit(0 if as_seen else "no longer so")
P
venv/bin/python client/main.py
