/**
 * Candles and volume. The chart is drawn outside of the view layer. It takes Numbers, for pixels:
 * this is the one place where prices are no whole units.
 */

import { effect, signal } from "@preact/signals";
import {
  CandlestickSeries,
  ColorType,
  createChart,
  createSeriesMarkers,
  HistogramSeries,
  type IChartApi,
  type ISeriesApi,
  type ISeriesMarkersPluginApi,
  type SeriesMarker,
  type Time,
  type UTCTimestamp,
} from "lightweight-charts";
import { useEffect, useRef } from "preact/hooks";
import { get } from "../api/client.ts";
import type { Candle } from "../api/types.ts";
import { merged, startS, updated } from "../feed/candle_list.ts";
import { isLight, palette, zone } from "../shell/settings.ts";
import { TableHead } from "../shell/table_head.tsx";
import { clockTime, dateTime, msOf, zoneName } from "../shell/time.ts";
import { fills } from "../store/account.ts";
import { symbol } from "../store/market.ts";
import { marketUnits, socket } from "../store/venue.ts";
import { DepthChart } from "./depth_chart.tsx";

const SECONDS: Readonly<Record<string, number>> = {
  "1m": 60,
  "5m": 300,
  "15m": 900,
  "1h": 3_600,
  "4h": 14_400,
  "1d": 86_400,
};
const BARS_ASKED = 500;
const BARS_SHOWN = 120;
const BARS_LEFT_OF_VIEW = 20;
const BARS_MAX = 20_000;
const RETRY_MS = 2_000;

const interval = signal("1m");
const asTable = signal(false);
const isDepth = signal(false);
const candles = signal<readonly Candle[]>([]);

interface KlineMessage {
  readonly t: string;
  readonly o: string;
  readonly h: string;
  readonly l: string;
  readonly c: string;
  readonly v: string;
}

const seconds = (candle: Candle): UTCTimestamp => startS(candle) as UTCTimestamp;

export function Chart() {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (place.current === null) return;
    return show(place.current);
  }, []);
  return (
    <section class="panel chart" aria-label="Chart">
      <header class="panel-head">
        <h2 class="hidden">{isDepth.value ? "Depth" : "Candles"}</h2>
        <div class="segments plain small" role="group" aria-label="Chart">
          {[false, true].map((each) => (
            <button
              key={String(each)}
              type="button"
              aria-pressed={isDepth.value === each}
              onClick={() => {
                isDepth.value = each;
              }}
            >
              {each ? "Depth" : "Candles"}
            </button>
          ))}
        </div>
        <div class="segments plain small" role="group" aria-label="Interval" hidden={isDepth.value}>
          {Object.keys(SECONDS).map((each) => (
            <button
              key={each}
              type="button"
              aria-pressed={interval.value === each}
              onClick={() => {
                interval.value = each;
              }}
            >
              {each}
            </button>
          ))}
        </div>
        <button
          type="button"
          aria-pressed={asTable.value}
          onClick={() => {
            asTable.value = !asTable.value;
          }}
        >
          Table
        </button>
        <span class="small zone">{zoneName()}</span>
      </header>
      <p class="hidden">{lastCandle()}</p>
      <div class="chart-place" ref={place} hidden={asTable.value || isDepth.value} />
      {isDepth.value && <DepthChart asTable={asTable.value} />}
      {asTable.value && !isDepth.value && <CandleTable />}
      <p class="credit small">
        <a href="https://www.tradingview.com/" target="_blank" rel="noreferrer noopener">
          Charts by TradingView
        </a>
      </p>
    </section>
  );
}

/** For those who do not see the chart. */
function lastCandle(): string {
  const last = candles.value.at(-1);
  if (last === undefined) return "No candles";
  const { open, high, low, close, volume } = last;
  return `Last candle of ${interval.value}, ${dateTime(msOf(last.start))}: open ${open}, high ${high}, low ${low}, close ${close}, volume ${volume}`;
}

function CandleTable() {
  return (
    <div class="scroll chart-place" tabIndex={0} role="region" aria-label="Candles as a table">
      <table>
        <TableHead names={["Time", "Open", "High", "Low", "Close", "Volume"]} />
        <tbody>
          {candles.value
            .toReversed()
            .slice(0, 200)
            .map((each) => (
              <tr key={each.start}>
                <td>{dateTime(msOf(each.start))}</td>
                <td>{each.open}</td>
                <td>{each.high}</td>
                <td>{each.low}</td>
                <td>{each.close}</td>
                <td>{each.volume}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </div>
  );
}

/** Draw until the returned function is called. */
function show(place: HTMLElement): () => void {
  const chart = createChart(place, {
    autoSize: true,
    layout: { attributionLogo: false, fontSize: 11 },
    timeScale: { timeVisible: true, secondsVisible: false, rightOffset: 4 },
    crosshair: { mode: 0 },
  });
  const bars = chart.addSeries(CandlestickSeries, { borderVisible: false });
  const volume = chart.addSeries(HistogramSeries, {
    priceScaleId: "volume",
    priceFormat: { type: "volume" },
    lastValueVisible: false,
    priceLineVisible: false,
  });
  chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
  bars.priceScale().applyOptions({ scaleMargins: { top: 0.06, bottom: 0.22 } });
  const markers = createSeriesMarkers(bars, []);
  const endings = [
    effect(() => colour(chart, bars, volume, isLight.value, palette.value)),
    effect(() => label(chart, zone.value)),
    effect(() => load(chart, bars, volume)),
    effect(() => mark(markers)),
  ];
  Object.assign(window, { __candles: () => bars.data() }); // For browser tests.
  return () => {
    for (const end of endings) end();
    chart.remove();
  };
}

/** The market and interval that are shown: its bars, older ones when they come into view. */
function load(
  chart: IChartApi,
  bars: ISeriesApi<"Candlestick">,
  volume: ISeriesApi<"Histogram">,
): (() => void) | undefined {
  const name = symbol.value;
  const length = interval.value;
  const market = marketUnits.value.get(name);
  const each = SECONDS[length];
  if (market === undefined || each === undefined) return undefined;
  bars.applyOptions({
    priceFormat: {
      type: "price",
      precision: market.price.decimals,
      minMove: Number(market.price.step) / 10 ** market.price.decimals,
    },
  });
  let known: readonly Candle[] = [];
  let isOpen = true;
  let isAsking = false;
  let hasAll = false;
  let isBegun = false; // the newest candles of the history are here

  const draw = (): void => {
    bars.setData(known.map((candle) => barOf(candle)));
    volume.setData(known.map((candle) => volumeOf(candle)));
    candles.value = known;
  };

  const ask = async (): Promise<void> => {
    if (!isOpen || isAsking || hasAll || known.length > BARS_MAX) return;
    isAsking = true;
    const oldest = isBegun ? known[0] : undefined;
    const end = oldest === undefined ? Math.floor(Date.now() / 1_000) + each : seconds(oldest);
    try {
      const found = await get<readonly Candle[]>("/api/v1/klines", {
        symbol: name,
        interval: length,
        startTime: Math.max(0, end - each * BARS_ASKED),
        endTime: end,
      });
      if (!isOpen) return;
      const all = merged(found, known);
      const added = all.length - known.length;
      hasAll = isBegun && added === 0;
      const range = chart.timeScale().getVisibleLogicalRange();
      known = all;
      draw();
      const [from, to] =
        !isBegun || range === null
          ? [all.length - BARS_SHOWN, all.length + 4]
          : [range.from + added, range.to + added];
      chart.timeScale().setVisibleLogicalRange({ from, to });
      isBegun = true;
    } catch {
      // No answer of the history: the live candles are drawn meanwhile.
      setTimeout(() => void ask(), RETRY_MS);
    } finally {
      isAsking = false;
    }
  };

  const moved = (): void => {
    const range = chart.timeScale().getVisibleLogicalRange();
    if (range !== null && range.from < BARS_LEFT_OF_VIEW && known.length > 0) void ask();
  };
  chart.timeScale().subscribeVisibleLogicalRangeChange(moved);
  const end = socket.subscribe(`kline.${length}.${name}`, (data) => {
    const message = data as KlineMessage;
    const candle: Candle = {
      start: message.t,
      open: message.o,
      high: message.h,
      low: message.l,
      close: message.c,
      volume: message.v,
    };
    const next = updated(known, candle);
    if (next === known) return;
    known = next;
    bars.update(barOf(candle));
    volume.update(volumeOf(candle));
    candles.value = known;
  });
  const endOpen = socket.onOpen(() => {
    known = [];
    hasAll = isBegun = false;
    draw();
    void ask();
  });
  draw();
  void ask();
  return () => {
    isOpen = false;
    end();
    endOpen();
    chart.timeScale().unsubscribeVisibleLogicalRangeChange(moved);
  };
}

const barOf = (candle: Candle) => ({
  time: seconds(candle),
  open: Number(candle.open),
  high: Number(candle.high),
  low: Number(candle.low),
  close: Number(candle.close),
});

const volumeOf = (candle: Candle) => ({ time: seconds(candle), value: Number(candle.volume) });

/** Own fills at their bars. */
function mark(markers: ISeriesMarkersPluginApi<Time>): void {
  const each = SECONDS[interval.value] ?? 60;
  const own = fills.value.filter((fill) => fill.symbol === symbol.value).toReversed();
  const found = own.map((fill): SeriesMarker<Time> => {
    const time = Math.floor(msOf(fill.timestamp) / 1_000 / each) * each;
    const isBuy = fill.side === "Bid";
    return {
      time: time as UTCTimestamp,
      position: isBuy ? "belowBar" : "aboveBar",
      shape: isBuy ? "arrowUp" : "arrowDown",
      color: tone(isBuy ? "--up" : "--down"),
      text: `${isBuy ? "B" : "S"} ${fill.quantity}`,
    };
  });
  markers.setMarkers(candles.value.length > 0 ? found : []);
}

const tone = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function colour(
  chart: IChartApi,
  bars: ISeriesApi<"Candlestick">,
  volume: ISeriesApi<"Histogram">,
  _light: boolean,
  _palette: string,
): void {
  const line = tone("--line");
  chart.applyOptions({
    layout: {
      background: { type: ColorType.Solid, color: tone("--panel") },
      textColor: tone("--soft"),
    },
    grid: { vertLines: { color: line }, horzLines: { color: line } },
    rightPriceScale: { borderColor: line },
    timeScale: { borderColor: line },
  });
  volume.applyOptions({ color: tone("--volume") });
  const [up, down] = [tone("--up"), tone("--down")];
  bars.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
}

/** Data stay in UTC; only the labels are in the zone. */
function label(chart: IChartApi, _zone: string): void {
  const at = (time: Time): number => Number(time) * 1_000;
  chart.applyOptions({
    localization: { timeFormatter: (time: Time) => dateTime(at(time)) },
    timeScale: {
      tickMarkFormatter: (time: Time, kind: number) =>
        kind < 3 ? dateTime(at(time)).slice(5, 10) : clockTime(at(time)).slice(0, 5),
    },
  });
}
