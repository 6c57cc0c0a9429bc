# Sourced by the scripts beside it: a stage that is done is passed over, one that was cut short goes on.
#   stage MODULE VERB ARGUMENTS...    runs `wellread VERB ARGUMENTS... -o MODULE`
stage() {
    module=$1
    shift
    if [ -e "$module/wellread.json" ]; then
        echo "$module is there"
        return
    fi
    set -- "$@" -o "$module"
    for checkpoint in "$module-run"/checkpoint-*; do
        if [ -d "$checkpoint" ]; then
            set -- "$@" --resume
            break
        fi
    done
    echo "wellread $*"
    wellread "$@"
}
