#!/usr/bin/env python3
"""PostgreSQL's isolation specs, judged as docs/isolation.md says: by outcome, and apart those that expect an SSI abort.

    isolation.py --corpora DIR --port N [--floor N] [SPEC …]

Fails if fewer interleavings than the floor end as PostgreSQL's do, or if one whose point is an SSI abort committed with
results that no serial order of its transactions gives.
"""
import argparse
import glob
import itertools
import os
import sys
import time
import types

SSI = "read/write dependencies"
# A million rows in one transaction: minutes with a debug build, for one interleaving.
TOO_LARGE = ["multiple-row-versions"]


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


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("specs", nargs="*")
    arguments.add_argument("--corpora", required=True)
    arguments.add_argument("--port", required=True)
    arguments.add_argument("--floor", type=int, default=0)
    arguments.add_argument("--verbose", action="store_true")
    options = arguments.parse_args()
    sys.path.insert(0, os.path.join(options.corpora, "runners"))
    # A session that a failed interleaving leaves inside of its block would keep the next one's DROP TABLE waiting for ever.
    os.environ["PGOPTIONS"] = "-c intervalstyle=postgres_verbose -c idle_in_transaction_session_timeout=12000"
    import isolation_runner as runner
    from psycopg import pq

    connection = types.SimpleNamespace(
        host="127.0.0.1", port=options.port, user="cambium", wait=0.25, max_step=8, pg_detect=False
    )

    def admin(statement):
        session = pq.PGconn.connect(f"host=127.0.0.1 port={options.port} user=cambium dbname=cambium".encode())
        session.exec_(statement.encode())
        session.finish()

    root = os.path.join(options.corpora, "pg_isolation")
    schedule = open(os.path.join(root, "isolation_schedule"), encoding="utf-8").read().split("\n")
    scheduled = [line.split()[1] for line in schedule if line.startswith("test:")]
    specs = options.specs or [name for name in scheduled if name not in TOO_LARGE]
    plain, plain_good, aborts, aborts_safe = 0, 0, 0, 0
    unsafe = []
    database = "isolation_suite"
    for name in specs:
        started = time.time()
        admin(f"DROP DATABASE IF EXISTS {database}")
        admin(f"CREATE DATABASE {database}")
        spec = runner.parse(f"{root}/specs/{name}.spec")
        texts = {step: set(runner.norm([sql])) for session in spec["sessions"] for step, sql in session["steps"]}
        files = [f"{root}/expected/{name}.out", *sorted(glob.glob(f"{root}/expected/{name}_[0-9].out"))]
        expected = [runner.expected(file) for file in files if os.path.exists(file)]
        good, count, safe, ssi = 0, 0, 0, 0
        seen = {}
        for permutation in spec["perms"]:
            key = "starting permutation: " + " ".join(step for step, _ in permutation)
            nth = seen[key] = seen.get(key, -1) + 1
            wanted = [runner.norm(file[key][min(nth, len(file[key]) - 1)]) for file in expected if key in file]
            if not wanted:
                continue
            got = runner.norm(runner.run_perm(connection, database, spec, permutation))
            if any(SSI in line for line in wanted[0]):
                ssi += 1
                # A step that waits for ever here is cancelled by the runner, which aborts its transaction.
                failed = ("ERROR:", "timed out", "never completed")
                is_safe = any(word in line for line in got for word in failed) or is_serial(
                    runner, connection, database, spec, permutation, got, texts
                )
                safe += is_safe
                if not is_safe:
                    unsafe.append(f"{name}: {key[22:]}\n     GOT  {' / '.join(got)}")
                continue
            count += 1
            ends = runner.outcome(got, texts)
            is_good = ends in [runner.outcome(want, texts) for want in wanted]
            good += is_good
            if options.verbose and not is_good:
                print("  ", key[22:], "\n     GOT ", " / ".join(got), "\n     WANT", " / ".join(wanted[0]))
        plain, plain_good, aborts, aborts_safe = plain + count, plain_good + good, aborts + ssi, aborts_safe + safe
        stopped = f"  SSI aborts {safe:2} of {ssi:2} safe" if ssi else ""
        print(f"{name:32} {good:3} of {count:3}{stopped}  {time.time() - started:.0f} s", flush=True)
    admin(f"DROP DATABASE IF EXISTS {database}")
    share = 100 * plain_good / max(plain, 1)
    print(f"isolation: {plain_good} of {plain} by outcome ({share:.1f} %), {aborts_safe} of {aborts} SSI aborts safe")
    for one in unsafe:
        print("!! went through:", one)
    if plain_good < options.floor or unsafe:
        print(f"!! the floor is {options.floor}, and nothing may go through")
        sys.exit(1)


if __name__ == "__main__":
    main()
