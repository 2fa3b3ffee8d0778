#!/bin/sh
# mpi.sh PROGRAM WORKERS LIBRARY: the communicator's test among processes of mpirun. Left out, and said so, where there is no MPI.
if ! command -v mpirun >/dev/null || [ ! -e "$3" ]; then
    echo "left out: there is no mpirun, or no $3"
    exit 77
fi
export CRYODECO_MPI="$3" OMPI_MCA_btl_base_warn_component_unused=0
exec mpirun --oversubscribe --allow-run-as-root -n "$2" "$1"
