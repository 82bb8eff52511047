"""How the report looks: light or dark as the reader's system is, one font, no network."""

STYLE = """
:root { --page: #fbfaf7; --card: #fff; --ink: #23261f; --soft: #6c7066; --rule: #e4e2da;
  --c0: #2f7d4f; --c1: #d08a1d; --c2: #8a8f98; --c3: #3b6fb5; --c4: #b1478c; color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14171a; --card: #1c2024; --ink: #e6e6e0; --soft: #9a9f98; --rule: #2d3237;
    --c0: #5fc48a; --c1: #f0b250; --c2: #9aa1ab; --c3: #7fb0f2; --c4: #e68cc5; } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto, sans-serif }
main { max-width: 980px; margin: 0 auto; padding: 48px 24px 96px }
h1 { font-size: 2.6rem; line-height: 1.1; margin: .1em 0 .3em; letter-spacing: -.02em }
h2 { font-size: 1.3rem; margin: 0 0 .6em; letter-spacing: -.01em }
h3 { font-size: .95rem; margin: 1.4em 0 .5em }
.brand { text-transform: uppercase; letter-spacing: .18em; font-size: .75rem; color: var(--soft); margin: 0 }
.lead { max-width: 62ch; color: var(--soft); margin: 0 0 1.6em }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 24px 26px; margin-top: 22px }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 14px }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 16px 18px }
.figure { font-size: 2.3rem; font-weight: 650; line-height: 1.15; font-variant-numeric: tabular-nums }
.who { font-weight: 600 } .sub, .note, figcaption { color: var(--soft); font-size: .84rem } .note { margin: 0 0 1em }
.legend { margin: 0 0 .5em; font-size: .85rem } .legend span { margin-right: 1.2em }
.swatch { display: inline-block; width: .75em; height: .75em; border-radius: 3px; margin-right: .45em; background: currentColor }
figure { margin: 0 } img { max-width: 100%; height: auto; border-radius: 8px; display: block; image-rendering: pixelated }
svg { width: 100%; height: auto; display: block; color: var(--ink) }
svg text { fill: currentColor; font: 11px system-ui, sans-serif; font-variant-numeric: tabular-nums }
svg .tick, svg .label { fill: var(--soft) }
.grid { stroke: var(--rule); stroke-width: 1 } .ground { fill: var(--rule); opacity: .55 }
.curve { fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linejoin: round } .bar, .dot { fill: currentColor }
.c0 { color: var(--c0) } .c1 { color: var(--c1) } .c2 { color: var(--c2) } .c3 { color: var(--c3) } .c4 { color: var(--c4) }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 14px 20px }
.curves figcaption { text-align: center }
.wide { width: min(96vw, 1640px); position: relative; left: 50%; transform: translateX(-50%); margin: 18px 0 }
.wide img { margin: auto; image-rendering: auto; border: 1px solid var(--rule) }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); gap: 26px 22px; align-items: start }
.pictures .full { grid-column: 1 / -1 } .pictures figcaption { margin-bottom: .5em } .pictures b { color: var(--ink) }
.pictures .part img { max-height: 620px; border: 1px solid var(--rule) } .pictures .full img { border: 1px solid var(--rule) }
.scroll { overflow-x: auto; margin-top: 14px } figure .scroll { margin-top: 0 }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums }
th { text-align: left; color: var(--soft); font-weight: 500; white-space: nowrap } td { overflow-wrap: normal }
td:not(:last-child):not(:first-child) { min-width: 6.8em }
th, td { padding: 7px 12px 7px 0; border-bottom: 1px solid var(--rule); vertical-align: top }
details { margin: 2px 0 } summary { cursor: pointer; color: var(--soft) }
dl { margin: .5em 0; font-size: .82rem } dl div { display: flex; gap: 1em; justify-content: space-between }
dt { color: var(--soft) } dd { margin: 0 }
pre { background: var(--page); padding: 12px 14px; border-radius: 8px; overflow-x: auto; font-size: .8rem }
@media (max-width: 640px) {
  main { padding: 24px 10px 64px } section { padding: 18px 14px; border-radius: 10px; margin-top: 14px } h1 { font-size: 2.1rem }
  .tiles { grid-template-columns: 1fr 1fr; gap: 8px } .tile { padding: 12px } .figure { font-size: 1.8rem }
  /* What would be too small to read is scrolled in its own frame; the page itself never is. */
  .chart svg { width: 620px } .film img, .wide-picture img { max-width: none; width: 720px } .map img { max-width: none; width: 1100px }
  .wide { width: auto; left: 0; transform: none } .legend span { display: inline-block } }
@media print { section { break-inside: avoid } body { background: #fff } }
"""
