"""What a renewal costs, measured: `python -m bench` (`--quick` for under a minute).

Counts are exact and come from real histories; speeds are ratios of interleaved pairs in one run, because absolute
rates move by half with whatever else the machine does (quality.md, "Speed and cost").

**How a subscription renews quickly on a real server.** A due date is a calendar day away and overdue payments are
paced, so a backlog of due dates would not have the shape of a renewal. `timelapse.TimeLapse` is the real
`Subscription` with one method wrapped: before it waits for its next step, it moves its own scenario clock (an offset
production has too, zero there) to a millisecond before that step. All that follows is production's code: the timer
on the server, the summary and details, the lock, the charge with its two transactions and its call of the gateway,
the state, the cut of the history. So one workflow runs many cycles in a row, warm or cold, continue-as-new included.

**What it is compared with.** `timelapse.Empty`: a timer of a millisecond and an activity that does nothing, as often,
uncut, not sandboxed, with Temporal's plain converter and no codec, in the same kind of process with the same worker
options. `Empty` with our converter, codec and cut is a second line, to see what those cost alone.

**How an arm runs.** W workflows are started while no worker listens; then the arm's worker process is let go and the
clock runs until W times C activities are done, starts excluded. Each arm keeps its process, and all arms of a round
share one server, database and gateway, one after another; the order turns with each round.

The server keeps its data in memory, which is its fastest and so the harshest comparison; Postgres commits to disk
(`fsync` on); the gateway is in memory of its own process. `history.workflowIdReuseMinimalInterval=0s` takes away the
second that the server otherwise puts between a run's start and its continue-as-new: nothing to a month, all of a
benchmark. A noisy neighbour disturbs rates more than processor time, so both ratios are shown.
"""
