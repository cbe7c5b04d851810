"""Game trees in the text of Gambit's .efg."""


def independent_choices(count):
    """Chance draws one of `count` places, and the one player, who sees it, chooses left or right: 2^count plans."""
    nodes = [
        f'p "" 1 {place + 1} "" {{ "l" "r" }} 0\nt "" {2 * place + 1} "" {{ {place} }}\nt "" {2 * place + 2} "" {{ 1 }}'
        for place in range(count)
    ]
    draws = " ".join(f'"{place}" 1/{count}' for place in range(count))
    return f'EFG 2 R "" {{ "only" }} ""\nc "" 1 "" {{ {draws} }} 0\n' + "\n".join(nodes)


def centipede(length):
    """Two players in turn stop or go on; to stop at turn k pays k to the first, 1/3 to the second, the end 7 and 8."""
    turns = [
        f'p "" {1 + turn % 2} {1 + turn // 2} "" {{ "stop" "on" }} 0\nt "" {turn + 1} "" {{ {turn} 1/3 }}\n'
        for turn in range(length)
    ]
    return 'EFG 2 R "c" { "1" "2" } ""\n' + "".join(turns) + 't "" 999999 "" { 7 8 }'
