"""Where the data of benchmarks are to be had, and how what may be fetched is fetched."""
