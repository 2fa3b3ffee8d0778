#!/usr/bin/env python3
"""Our benchmark next to another program's, by turns, so that both see the same minutes of the same machine.

    python3 compare.py --ours build/plugin/cryodeco --peers peers.py [--python venv/bin/python] [--threads 1] [--rounds 5]

Both print one JSON line a case, {"case", "value", "unit", "threads", "shape"}. The best rate of each counts: what else runs on
the machine can only lower it. Prints one line a case and thread count, as a row of a Markdown table.
"""
import argparse
import json
import subprocess

# Ways of ours to do what the peers have one way for. Rates are an image's, so batches may differ.
SEARCHES = {"pose_search_exact": "pose_search", "pose_search_sliced": "pose_search"}


def rates(command):
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {case["case"]: case for case in map(json.loads, lines)}


def best(into, found):
    for name, case in found.items():
        if name not in into or case["value"] > into[name]["value"]:
            into[name] = case


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", required=True, help="the cryodeco command")
    parser.add_argument("--peers", required=True, help="the peers' script")
    parser.add_argument("--python", default="python3", help="the Python that runs it")
    parser.add_argument("--cases", default="sgemm,decoder_eval,decoder_train")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="for each case in each round")
    args = parser.parse_args()

    print("| case | threads | ours | peer | unit | ratio |\n|---|---|---|---|---|---|")
    for threads in args.threads:
        ours, peers = {}, {}
        theirs = [SEARCHES.get(name, name) for name in args.cases.split(",")]
        common = ["--threads", str(threads), "--seconds", str(args.seconds)]
        for _ in range(args.rounds):
            best(ours, rates([args.ours, "bench", "--json", "--cases", args.cases, *common]))
            best(peers, rates([args.python, args.peers, "--cases", ",".join(dict.fromkeys(theirs)), *common]))
        for name, case in ours.items():
            peer = SEARCHES.get(name, name)
            if peer in peers:
                a, b = case["value"], peers[peer]["value"]
                same = {**peers[peer]["shape"], "batch": case["shape"]["batch"]} if name in SEARCHES else peers[peer]["shape"]
                assert case["shape"] == same, f"{name}: other shapes"
                print(f"| {name} | {threads} | {a:,.1f} | {b:,.1f} | {case['unit']} | {a / b:.2f} |", flush=True)


if __name__ == "__main__":
    main()
