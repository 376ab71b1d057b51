# Each shell of a workflow begins with this (BASH_ENV). act does not wait for the last lines of a
# step that fails, it closes the step's terminal: on a busy machine they are lost.
trap '[ $? = 0 ] || sleep 0.5' EXIT
