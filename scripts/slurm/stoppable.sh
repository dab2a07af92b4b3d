# What the jobs share: parts that may be told to stop, and the launch that a recipe asks for. Read by `source`.

# From the first line on: a signal between two parts ends the job like one within a part.
stopped=no status=0 running=
trap 'stopped=yes; [ -z "$running" ] || kill -TERM "$running"' TERM

# attend COMMAND...: wait for a command; its exit code is in `status`. The signal ends the first wait, and the second
# lasts until the command has saved.
attend() {
    if [ "$stopped" = yes ]; then status=75 && return; fi
    "$@" &
    running=$!
    [ "$stopped" = no ] || kill -TERM "$running"
    status=0 && wait "$running" || status=$?
    if [ "$stopped" = yes ]; then status=0 && wait "$running" || status=$?; fi
    running=
}

# Back to the queue after a signal (75: stopped by one, with a whole checkpoint); else the job ends as its last part.
finish() {
    if [ "$stopped" = yes ] || [ "$status" = 75 ]; then
        scontrol requeue "$SLURM_JOB_ID"
        exit 0
    fi
    exit "$status"
}

# read_launch NODES RECIPE [key=value ...]: check a recipe for eight processes a node; sets `resolved`, `config`.
read_launch() {
    export TRAINER_NODES="$1"
    shift
    LOCAL_RANK=0 WORLD_SIZE="$((TRAINER_NODES * 8))" quince validate "$@"
    resolved="$(quince show "$@")"
    config="$(sed -n 's/^  accelerate_config: \([^ ]*\).*/\1/p' <<<"$resolved")"
    case "$config" in
        null | "") config=scripts/accelerate/ddp.yaml ;;
        */* | *.yaml) ;;
        *) config="scripts/accelerate/$config.yaml" ;;
    esac
    export CONFIG="$config"
}

# train_on NODE... -- RECIPE [key=value ...]: train, from the newest checkpoint of `folder` on if there is one.
train_on() {
    local on=()
    while [ "$1" != -- ]; do on+=("$1") && shift; done
    shift
    export MAIN_ADDRESS="${on[0]}"
    local resume=()
    if compgen -G "$folder/checkpoint-*" >/dev/null; then resume=(--resume); fi
    attend srun --nodes="$TRAINER_NODES" --ntasks="$TRAINER_NODES" --nodelist="$(IFS=,; echo "${on[*]}")" \
        bash -c 'exec python -m quince.recipes.run.launching --config_file "$CONFIG" \
            --num_machines "$TRAINER_NODES" --num_processes "$((TRAINER_NODES * 8))" \
            --machine_rank "$SLURM_PROCID" --main_process_ip "$MAIN_ADDRESS" --main_process_port 29500 \
            -m quince.recipes.cli train "$@"' launch "$@" "${resume[@]}"
}
