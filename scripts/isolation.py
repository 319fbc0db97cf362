#!/usr/bin/env python3
"""PostgreSQL's isolation specs, judged as docs/isolation.md says: by outcome, and apart those that expect an SSI abort.

    isolation.py --corpora DIR --port N [--floor N] [--workers N] [SPEC …]

Fails if fewer interleavings than the floor end as PostgreSQL's do, or if one whose point is an SSI abort committed with
results that no serial order of its transactions gives.

A step waits when the server says so (pg_isolation_test_session_is_blocked), as in PostgreSQL's own tester: no outcome
depends on how long a busy machine takes. Specs run side by side, each worker in a database of its own.
"""
import argparse
import concurrent.futures
import glob
import itertools
import multiprocessing
import os
import sys
import time
import types

SSI = "read/write dependencies"
# A million rows in one transaction: minutes with a debug build, for one interleaving.
TOO_LARGE = ["multiple-row-versions"]
# A session that a failed interleaving leaves inside of its block would keep the next one's DROP TABLE waiting for ever.
SESSION = "-c intervalstyle=postgres_verbose -c idle_in_transaction_session_timeout=12000"


def load(corpora):
    """The runner of the corpora, which speaks to the server."""
    sys.path.insert(0, os.path.join(corpora, "runners"))
    os.environ["PGOPTIONS"] = SESSION
    import isolation_runner

    return isolation_runner


# How long a step that is not blocked may take: a bound for a server that hangs.
STEP_SECONDS_MAX = 30
# How long all that run may be blocked, without a break, until the runner goes on: they wait for each other, or for sessions
# whose turn comes later, so no time would end it but that of the deadlock detector.
BLOCKED_SECONDS = 1.5


class Connection:
    """What the runner asks for: where the server is, and how long it waits for a step."""

    def __init__(self, options, database):
        from psycopg import pq

        self.host, self.port, self.user = options.host, options.port, options.user
        self.wait, self.pg_detect = 0.25, True
        target = f"host={self.host} port={self.port} user={self.user} dbname={options.db}"
        self.session = pq.PGconn.connect(target.encode())
        self.query = (
            "SELECT count(*), count(*) FILTER (WHERE wait_event_type = 'Lock'),"
            " string_agg(pid || ' ' || query_start, ',' ORDER BY pid) FROM pg_stat_activity"
            f" WHERE state = 'active' AND datname = '{database}'"
        )
        self.blocked = None
        self.since = 0

    @property
    def max_step(self):
        """Seconds, asked again while the runner waits."""
        result = self.session.exec_(self.query.encode())
        active, blocked, who = (result.get_value(0, column) for column in range(3))
        is_still = who is not None and active == blocked
        if not is_still or who != self.blocked:
            self.blocked, self.since = who if is_still else None, time.time()
            return STEP_SECONDS_MAX
        return 0 if time.time() - self.since > BLOCKED_SECONDS else STEP_SECONDS_MAX


def is_serial(runner, connection, database, spec, permutation, got, texts):
    """Whether a run in which all committed gives what some serial order gives."""
    owners = {step: session["name"] for session in spec["sessions"] for step, _ in session["steps"]}
    sessions = list(dict.fromkeys(owners[step] for step, _ in permutation))
    ends = runner.outcome(got, texts)
    for order in itertools.permutations(sessions):
        serial = [(step, []) for session in order for step, _ in permutation if owners[step] == session]
        if runner.outcome(runner.norm(runner.run_perm(connection, database, spec, serial)), texts) == ends:
            return True
    return False


def run_spec(name, options):
    """Runs one spec in this worker's database, and gives its figures."""
    from psycopg import pq

    runner = load(options.corpora)
    database = f"isolation_suite_{os.getpid()}"
    connection = Connection(options, database)

    def admin(statement):
        target = f"host={options.host} port={options.port} user={options.user} dbname={options.db}"
        session = pq.PGconn.connect(target.encode())
        session.exec_(statement.encode())
        session.finish()

    root = os.path.join(options.corpora, "pg_isolation")
    started = time.time()
    spec = runner.parse(f"{root}/specs/{name}.spec")
    texts = {step: set(runner.norm([sql])) for session in spec["sessions"] for step, sql in session["steps"]}
    files = [f"{root}/expected/{name}.out", *sorted(glob.glob(f"{root}/expected/{name}_[0-9].out"))]
    expected = [runner.expected(file) for file in files if os.path.exists(file)]
    figures = types.SimpleNamespace(name=name, good=0, count=0, safe=0, ssi=0, unsafe=[], misses=[], slow=[])
    seen = {}
    admin(f"DROP DATABASE IF EXISTS {database}")
    admin(f"CREATE DATABASE {database}")
    for permutation in spec["perms"]:
        key = "starting permutation: " + " ".join(step for step, _ in permutation)
        nth = seen[key] = seen.get(key, -1) + 1
        wanted = [runner.norm(file[key][min(nth, len(file[key]) - 1)]) for file in expected if key in file]
        if not wanted:
            continue
        begun = time.time()
        got = runner.norm(runner.run_perm(connection, database, spec, permutation))
        figures.slow.append((time.time() - begun, key[22:]))
        if any(SSI in line for line in wanted[0]):
            figures.ssi += 1
            # A step that waits for ever here is cancelled by the runner, which aborts its transaction.
            failed = ("ERROR:", "timed out", "never completed")
            is_safe = any(word in line for line in got for word in failed) or is_serial(
                runner, connection, database, spec, permutation, got, texts
            )
            figures.safe += is_safe
            if not is_safe:
                figures.unsafe.append(f"{name}: {key[22:]}\n     GOT  {' / '.join(got)}")
            continue
        figures.count += 1
        ends = runner.outcome(got, texts)
        is_good = ends in [runner.outcome(want, texts) for want in wanted]
        figures.good += is_good
        if not is_good:
            figures.misses.append(
                f"   {key[22:]}\n     GOT  {' / '.join(got)}\n     WANT {' / '.join(wanted[0])}"
            )
    admin(f"DROP DATABASE IF EXISTS {database}")
    connection.session.finish()
    figures.seconds = time.time() - started
    return figures


def weight(runner, root, name):
    """How long a spec may take, roughly: the long ones go first, so that no worker ends alone."""
    return len(runner.parse(f"{root}/specs/{name}.spec")["perms"])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("specs", nargs="*")
    arguments.add_argument("--corpora", required=True)
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", required=True)
    arguments.add_argument("--user", default="cambium")
    arguments.add_argument("--db", default="cambium")
    arguments.add_argument("--floor", type=int, default=0)
    arguments.add_argument("--workers", type=int, default=3)
    arguments.add_argument("--verbose", action="store_true")
    options = arguments.parse_args()
    root = os.path.join(options.corpora, "pg_isolation")
    with open(os.path.join(root, "isolation_schedule"), encoding="utf-8") as schedule:
        scheduled = [line.split()[1] for line in schedule if line.startswith("test:")]
    specs = options.specs or [name for name in scheduled if name not in TOO_LARGE]
    runner = load(options.corpora)
    started = time.time()
    results = {}
    # Started anew and not forked: libpq's state does not belong to two processes.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(options.workers, mp_context=context) as pool:
        ordered = sorted(specs, key=lambda name: -weight(runner, root, name))
        for done in concurrent.futures.as_completed([pool.submit(run_spec, name, options) for name in ordered]):
            spec = done.result()
            results[spec.name] = spec
            stopped = f"  SSI aborts {spec.safe:2} of {spec.ssi:2} safe" if spec.ssi else ""
            print(f"{spec.name:32} {spec.good:3} of {spec.count:3}{stopped}  {spec.seconds:.0f} s", flush=True)
            if options.verbose:
                print("\n".join(spec.misses))
                print("   slowest:", ", ".join(f"{seconds:.1f} s {steps}" for seconds, steps in sorted(spec.slow)[-3:]))
    good, count = sum(spec.good for spec in results.values()), sum(spec.count for spec in results.values())
    safe, ssi = sum(spec.safe for spec in results.values()), sum(spec.ssi for spec in results.values())
    unsafe = [one for spec in results.values() for one in spec.unsafe]
    share = 100 * good / max(count, 1)
    print(f"isolation: {good} of {count} by outcome ({share:.1f} %), {safe} of {ssi} SSI aborts safe, {time.time() - started:.0f} s")
    for one in unsafe:
        print("!! went through:", one)
    if good < options.floor or unsafe:
        print(f"!! the floor is {options.floor}, and nothing may go through")
        sys.exit(1)


if __name__ == "__main__":
    main()
