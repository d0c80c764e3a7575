"""`ray submit cluster.yaml experiments/run.py CONFIG …` is `crowd-sim run CONFIG …` on the cluster's head node."""

import sys

from crowd_sim.cli.app import main

if __name__ == "__main__":
    main(["run", *sys.argv[1:]])
