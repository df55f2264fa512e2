#!/usr/bin/env bash
# Memory does not grow with the input, and digests don't depend on workers: each ready job over 20 M and 80 M generated
# payments (55 and 222 hours of event time) at 1, 2 and 4 workers, fraud velocity also answered on arrival.
#
#   benches/bounded.sh                          everything; about half an hour on two cores
#   ROWS="2000000 8000000" WORKERS="1 2" JOBS="merchant_throughput" benches/bounded.sh
#
# Prints a line a run (job, rows, workers, rows/s, peak memory) and fails if digests differ or peak memory grows by 5 %. Peaks
# of equal runs differ too, by up to 15 % where they are small: before it says so, the smaller run is repeated, and its largest
# peak counts.
set -euo pipefail
cd "$(dirname "$0")/.."

read -ra rows <<<"${ROWS:-20000000 80000000}"
read -ra workers <<<"${WORKERS:-1 2 4}"
read -ra jobs <<<"${JOBS:-merchant_throughput fraud_velocity fraud_velocity/arrival replay_history}"

cargo build --release --bin highwater
highwater=${CARGO_TARGET_DIR:-target}/release/highwater
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0

figure() { grep -m1 -o "\"$2\": [0-9]*" "$1" | grep -o '[0-9]*$'; }

# run ENTRY ROWS WORKERS: prints its line and sets `summary` and `bytes`.
run() {
  local job=${1%%/*} define=(-D payments.event-rate=100)
  [[ $1 == */arrival ]] && define+=(-D alerts.emit=arrival)
  summary=$out/${job}_$2_$3.json
  "$highwater" run "jobs/$job.sql" --workers "$3" "${define[@]}" -D payments.number-of-rows="$2" \
    --summary "$summary" >"$out/log" 2>&1 || { cat "$out/log"; exit 1; }
  bytes=$(figure "$summary" peak_rss_bytes)
  printf '%-24s %10d rows  %d workers  %9d rows/s  %6d MB\n' "$1" "$2" "$3" "$(figure "$summary" rows_per_s)" $((bytes >> 20))
}

for entry in "${jobs[@]}"; do
  declare -A peak=()
  for n in "${rows[@]}"; do
    first=
    for w in "${workers[@]}"; do
      run "$entry" "$n" "$w"
      if [[ -z $first ]]; then first=$summary; else "$highwater" compare "$first" "$summary" || failed=1; fi
      now=$bytes
      for _ in 1 2 3; do
        [[ -n ${peak[$w]:-} ]] && ((now * 100 > ${peak[$w]} * 105)) || break
        run "$entry" "${rows[0]}" "$w"
        ((bytes > ${peak[$w]})) && peak[$w]=$bytes
      done
      if [[ -n ${peak[$w]:-} ]] && ((now * 100 > ${peak[$w]} * 105)); then
        echo "  peak memory grew from $((${peak[$w]} >> 20)) to $((now >> 20)) MB"
        failed=1
      fi
      [[ -n ${peak[$w]:-} ]] || peak[$w]=$now
    done
  done
done
exit $failed
