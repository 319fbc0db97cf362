"""Compares a report of the pg_regress runner (its --json) with scripts/regress.floors."""
import json
import sys

report, floors = sys.argv[1:3]
files = json.load(open(report))["files"]
failed = False
for line in open(floors):
    words = line.split("#")[0].split()
    if not words:
        continue
    name, floor = words[0], float(words[1])
    kinds = files.get(name, {}).get("by_kind", {})
    matched = sum(kinds.get(kind, [0, 0])[0] for kind in "qe")
    counted = sum(kinds.get(kind, [0, 0])[1] for kind in "qe")
    share = 100.0 * matched / counted if counted else 0.0
    is_below = share < floor
    failed |= is_below
    print(f"{'!!' if is_below else 'ok'} {name}: {matched} of {counted} = {share:.1f} %, floor {floor:g} %")
sys.exit(1 if failed else 0)
