"""`python -m crowd_sim` is the command `crowd-sim`."""

from crowd_sim.cli.app import main

if __name__ == "__main__":
    main()
