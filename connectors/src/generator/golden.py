"""The definition of the generated payments a second time, row by row, to make `golden.csv`.

python3 golden.py > golden.csv
"""
from math import sqrt, floor

M = (1 << 64) - 1
START = 1767225600000


def mix(stream, row):
    z = (stream + row * 0x9E3779B97F4A7C15) & M
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M
    return z ^ (z >> 31)


def stream(seed, number):
    return mix(mix(seed, 1), number + 2)


def below(draw, n):
    return ((draw >> 32) * n) >> 32


def share(x):
    return int(x * 2.0 ** 32)


def exp2(y):
    whole = floor(y)
    rest, root, result = y - whole, 2.0, 1.0
    for _ in range(48):
        root = sqrt(root)
        rest *= 2.0
        if rest >= 1.0:
            rest -= 1.0
            result *= root
    return result * 2.0 ** whole


def log2(x):
    whole, bit, rest = 0.0, 1.0, 0.0
    while x < 1.0:
        x, whole = x * 2.0, whole - 1.0
    while x >= 2.0:
        x, whole = x / 2.0, whole + 1.0
    for _ in range(48):
        x *= x
        bit /= 2.0
        if x >= 2.0:
            x, rest = x / 2.0, rest + bit
    return whole + rest


def skewed(n, skew, draw):
    def point(cell):
        x = cell / 1024
        return 0 if cell == 0 else int(exp2(log2(x) * (1000.0 / (1000 - skew))) * 2.0 ** 32)
    u = draw >> 32
    cell, rest = divmod(u, 1 << 22)
    a, b = point(cell), point(cell + 1)
    return ((a + ((b - a) * rest >> 22)) * n) >> 32


def amount(draw):
    def point(k):
        return int(exp2((k * 256.0 - 131070.0) * (1.4426950408889634 / 37837.2)) * 3500.0 * 1024.0)
    total = sum(draw >> shift & 0xFFFF for shift in (0, 16, 32, 48))
    cell, rest = divmod(total, 256)
    a, b = point(cell), point(cell + 1)
    return (a + ((b - a) * rest >> 8)) >> 10


def luhn(number):
    """The check digit, by the definition in ISO/IEC 7812."""
    total = 0
    for k, digit in enumerate(reversed(str(number))):
        d = int(digit)
        total += sum(divmod(2 * d, 10)) if k % 2 == 0 else d
    return -total % 10


COUNTRIES = "US USD DE EUR GB GBP FR EUR IT EUR ES EUR NL EUR PL PLN CH CHF AT EUR SE SEK JP JPY CA CAD AU AUD BR BRL IN INR MX MXN TR TRY ZA ZAR NG NGN AE AED SG SGD KR KRW CN CNY".split()
COUNTRIES = list(zip(COUNTRIES[::2], COUNTRIES[1::2]))
HOMES = [c for c, n in enumerate([14, 10, 8, 7, 5, 4, 3, 2, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1]) for _ in range(n)]
MCC = [5411, 5812, 5814, 5541, 5912, 5311, 5732, 5651, 4111, 4121, 5999, 5942, 7011, 4511, 5967, 7995]


def burst_of(row, seed, per_day, rate):
    def first_row(slot):
        return -(-slot * rate * 864 // (per_day * 10))
    slot = row * per_day * 10 // (rate * 864)
    room = first_row(slot + 1) - first_row(slot)
    d = [mix(stream(seed, 1), slot * 8 + n) for n in range(5)]
    payments = min(10 + below(d[0], 31), room // 2)
    if payments < 3:
        return None
    stride = min(max((1000 + below(d[1], 4001)) * rate // 1000000, 1), room // (2 * payments))
    first = first_row(slot) + d[2] % (room - (payments - 1) * stride)
    k, off = divmod(row - first, stride)
    if off or not 0 <= k < payments:
        return None
    return slot, ["card", "card", "device", "merchant"][d[3] >> 62], d[4]


def payment(row, seed=42, rate=100000, cards=1000000, merchants=20000, devices=1300000, per_day=288):
    draw = lambda number: mix(stream(seed, number), row)
    burst = burst_of(row, seed, per_day, rate)
    kind = burst and burst[1]
    # event time
    d, behind = draw(0), 0
    late, moved = share(0.001), share(0.001) + share(0.02)
    if d >> 32 < late:
        behind = 64 * 1000000 // rate + 6000 + below(d << 32 & M, 114001)
    elif d >> 32 < moved:
        behind = 1 + below(d << 32 & M, 4000)
    ts = START + max(row * 1000000 // rate - behind, 0)
    # keys
    card = below(burst[2], cards) if kind == "card" else skewed(cards, 200, draw(16))
    merchant = below(burst[2], merchants) if kind == "merchant" else skewed(merchants, 600, draw(17))
    device = (card * ((devices << 32) // cards) >> 32) + (draw(18) >> 32 < share(0.15))
    device %= devices
    if kind in ("card", "device"):
        device = below(mix(burst[2], 1), devices)
    account = (card * 387420489 + 271828183) % 10 ** 9
    number = [400000, 411111, 520082, 555555][account % 4] * 10 ** 9 + account
    number = number * 10 + luhn(number)
    # country
    d = draw(19)
    country = (d & 0xFFFFFFFF) * len(COUNTRIES) >> 32
    if kind != "card" and d >> 32 >= share(0.03):
        country = HOMES[mix(stream(seed, 23), card) >> 58]
    # address
    d = draw(20)
    a = mix(stream(seed, 25), d | 1 if d >> 32 < share(0.1) else device)
    ip = [11 + (a & 255) % 89, a >> 8 & 255, a >> 16 & 255, a >> 24 & 255]
    cents = amount(draw(21))
    if kind == "merchant":
        cents = 50 + cents % 450
    declined = draw(22) >> 32 < share(0.35 if burst else 0.04)
    mcc = MCC[mix(stream(seed, 24), merchant) >> 60]
    return [row, ts, number, merchant + 1, device + 1, ".".join(map(str, ip)), *COUNTRIES[country], mcc,
            "%d.%02d" % divmod(cents, 100), "DECLINED" if declined else "OK",
            "true" if burst else "false", burst[0] if burst else ""]


if __name__ == "__main__":
    print("options,payment_id,ts,card,merchant,device,ip,country,currency,mcc,amount,status,is_fraud,burst_id")
    tables = [("number-of-rows=1000000", {}),
              ("number-of-rows=300000;seed=-7;event-rate=12.5;cards=1000;merchants=50;devices=7;bursts-per-day=24",
               dict(seed=-7 & M, rate=12500, cards=1000, merchants=50, devices=7, per_day=24))]
    for options, arguments in tables:
        kinds = {}
        per_day, rate = arguments.get("per_day", 288), arguments.get("rate", 100000)
        for row in range(300000):
            burst = burst_of(row, arguments.get("seed", 42), per_day, rate)
            if burst and kinds.setdefault(burst[1], []) is not None and len(kinds[burst[1]]) < 4:
                kinds[burst[1]].append(row)
        rows = sorted({0, 1, 2, 7, 65537, 299999, *range(1000, 60000, 997), *sum(kinds.values(), [])})
        for row in rows:
            print(options, *payment(row, **arguments), sep=",")
