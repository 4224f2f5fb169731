// ccxt's unmodified class `backpack` from npm: REST and streams, only its URLs overridden.
//
// Runs in a folder with node_modules, as `node ccxt_npm.mjs VENUE.json`; the file has addresses and
// credentials. Every step is run, also after one has failed, and cancels its orders.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import ccxt from 'ccxt';

const SYMBOL = 'SOL/USDC';
const PATIENCE_MS = 15000;
const venue = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const alice = await fresh('demo1');
const bob = await fresh('demo2');

async function fresh(account) {
    const { http, ws } = venue;
    const made = new ccxt.pro.backpack({
        apiKey: venue.accounts[account].apiKey,
        secret: venue.accounts[account].apiSecret,
        urls: { api: { public: http, private: http, ws: { public: ws, private: ws } } },
    });
    await made.loadMarkets();
    await made.loadHttpProxyAgent();
    return made;
}

// The best prices, and one between them.
async function prices() {
    const { bids, asks } = await alice.fetchOrderBook(SYMBOL);
    const [bid, ask] = [bids[0][0], asks[0][0]];
    const inside = Number(alice.priceToPrecision(SYMBOL, (bid + ask) / 2));
    assert(bid < inside && inside < ask, `no room between ${bid} and ${ask}`);
    return { bid, inside, ask, low: Number(alice.priceToPrecision(SYMBOL, bid * 0.8)) };
}

// A watch call, repeated until `holds` is true for what it returned.
async function watchUntil(watch, holds) {
    const timeout = setTimeout(() => { throw new Error('it did not come'); }, PATIENCE_MS);
    for (;;) {
        const seen = await watch();
        if (holds(seen)) {
            clearTimeout(timeout);
            return seen;
        }
    }
}

// bob makes and alice takes, between the best prices.
async function trade(amount) {
    const { inside } = await prices();
    await bob.createOrder(SYMBOL, 'limit', 'sell', amount, inside);
    return alice.createOrder(SYMBOL, 'limit', 'buy', amount, inside);
}

async function publicData() {
    for (const symbol of ['SOL/USDC', 'BTC/USDC', 'ETH/USDC']) assert(alice.markets[symbol].spot);
    assert.equal((await alice.fetchStatus()).status, 'ok');
    const { price } = await trade(1);
    const ticker = await alice.fetchTicker(SYMBOL);
    assert(ticker.last === price && ticker.low <= price && price <= ticker.high);
    assert(SYMBOL in await alice.fetchTickers());
    const trades = await alice.fetchTrades(SYMBOL, undefined, 50);
    assert.equal(trades.at(-1).price, price);
    const candles = await alice.fetchOHLCV(SYMBOL, '1m', Date.now() - 3600_000);
    assert.equal(candles.at(-1)[4], price);
    assert(candles.every(([at]) => at % 60_000 === 0));
    assert('SOL' in await alice.fetchCurrencies());
}

async function limitOrder() {
    const { low } = await prices();
    const before = (await alice.fetchBalance()).USDC;
    const order = await alice.createOrder(SYMBOL, 'limit', 'buy', 2, low);
    assert.deepEqual([order.status, order.filled, order.price], ['open', 0, low]);
    assert.equal((await alice.fetchBalance()).USDC.free, Number((before.free - 2 * low).toFixed(6)));
    assert.equal((await alice.fetchOpenOrder(order.id, SYMBOL)).id, order.id);
    assert.deepEqual((await alice.fetchOpenOrders(SYMBOL)).map(({ id }) => id), [order.id]);
    const cancelled = await alice.cancelOrder(order.id, SYMBOL);
    assert.deepEqual([cancelled.status, cancelled.id], ['canceled', order.id]);
    assert.deepEqual((await alice.fetchBalance()).USDC, before);
}

async function fills() {
    const taken = await trade(1);
    assert.deepEqual([taken.status, taken.filled], ['closed', 1]);
    const mine = await alice.fetchMyTrades(SYMBOL, undefined, 10);
    const fill = mine.find((each) => each.order === taken.id);
    assert.deepEqual([fill.amount, fill.side, fill.takerOrMaker], [1, 'buy', 'taker']);
    const found = (await alice.fetchOrders(SYMBOL)).find(({ id }) => id === taken.id);
    assert.deepEqual([found.status, found.filled], ['closed', 1]);
    const market = await alice.createOrder(SYMBOL, 'market', 'buy', 0, undefined, { cost: 50 });
    assert(market.filled > 0 && market.cost <= 50);
}

async function severalOrders() {
    const { low } = await prices();
    const each = { symbol: SYMBOL, type: 'limit', side: 'buy', price: low };
    const made = await alice.createOrders([{ ...each, amount: 1 }, { ...each, amount: 2 }]);
    assert.deepEqual(made.map(({ status }) => status), ['open', 'open']);
    const named = await alice.createOrder(SYMBOL, 'limit', 'buy', 1, low, { clientOrderId: '77' });
    assert.equal(named.clientOrderId, '77');
    await alice.cancelAllOrders(SYMBOL);
    assert.deepEqual(await alice.fetchOpenOrders(SYMBOL), []);
}

async function errors() {
    const { low, ask } = await prices();
    const bid = (amount, price, params) => alice.createOrder(SYMBOL, 'limit', 'buy', amount, price, params);
    await assert.rejects(bid(1e7, low), ccxt.InsufficientFunds);
    await assert.rejects(bid(1, ask, { postOnly: true }), ccxt.InvalidOrder);
    await assert.rejects(alice.cancelOrder('1', SYMBOL), ccxt.InvalidOrder);
    await assert.rejects(bid(1, low, { triggerPrice: low }), ccxt.OperationFailed);
    const stranger = await fresh('demo1');
    stranger.secret = Buffer.alloc(32, 7).toString('base64');
    await assert.rejects(stranger.fetchBalance(), ccxt.AuthenticationError);
    await stranger.close();
}

async function money() {
    const deposits = await alice.fetchDeposits();
    assert(deposits.length && deposits.every(({ txid, status }) => status === 'ok' && txid.startsWith('simulated-')));
    assert.equal(new Set(deposits.map(({ txid }) => txid)).size, deposits.length);
    assert((await alice.fetchDepositAddress('SOL', { network: 'SOL' })).address.startsWith('simulated-'));
    const address = '7Np41oeYqPefeNQEHSv1UDhYrehxin3NStELsSKCT4K2';
    const out = await alice.withdraw('SOL', 0.5, address, undefined, { network: 'SOL' });
    assert((await alice.fetchWithdrawals('SOL')).some(({ id }) => id === out.id));
}

async function watchedBook() {
    const first = await watchUntil(() => alice.watchOrderBook(SYMBOL), (book) => book.bids.length > 0);
    const { bid, inside } = await prices();
    assert.equal(first.bids[0][0], bid);
    const watching = watchUntil(() => alice.watchOrderBook(SYMBOL), (book) => book.bids[0][0] === inside);
    const order = await alice.createOrder(SYMBOL, 'limit', 'buy', 1, inside);
    await watching;
    const gone = watchUntil(() => alice.watchOrderBook(SYMBOL), (book) => book.bids[0][0] === bid);
    await alice.cancelOrder(order.id, SYMBOL);
    const book = await gone;
    const fetched = await alice.fetchOrderBook(SYMBOL);
    assert.equal(book.nonce, fetched.nonce);
    assert.deepEqual([...book.asks].map((level) => level.slice(0, 2)), fetched.asks);
}

async function watchedTrades() {
    const watched = {
        trades: watchUntil(() => alice.watchTrades(SYMBOL), (seen) => seen.some(({ amount }) => amount === 3)),
        ticker: watchUntil(() => alice.watchTicker(SYMBOL), ({ last }) => last > 0),
        best: watchUntil(() => alice.watchBidsAsks([SYMBOL]), (seen) => seen[SYMBOL].bid > 0),
        candles: watchUntil(() => alice.watchOHLCV(SYMBOL, '1m'), (seen) => seen.at(-1)[5] >= 3),
    };
    await alice.sleep(500);  // No answer says that one is subscribed.
    await trade(3);
    await Promise.all(Object.values(watched));
}

async function watchedOrders() {
    const states = [];
    const watching = watchUntil(() => alice.watchOrders(SYMBOL), (seen) => {
        states.push(...seen.map(({ status }) => status));
        return states.includes('canceled') && states.includes('closed');
    });
    await alice.sleep(500);
    const { low } = await prices();
    const order = await alice.createOrder(SYMBOL, 'limit', 'buy', 1, low);
    await alice.cancelOrder(order.id, SYMBOL);
    await trade(1);
    await watching;
    assert(states.includes('open'));
}

let failed = 0;
const steps = [
    publicData, limitOrder, fills, severalOrders, errors, money, watchedBook, watchedTrades, watchedOrders,
];
for (const step of steps) {
    try {
        await step();
        console.log(`ok     ${step.name}`);
    } catch (error) {
        failed += 1;
        console.log(`FAILED ${step.name}\n${error.stack}`);
    }
    for (const each of [alice, bob]) await each.cancelAllOrders(SYMBOL);
}
await alice.close();
await bob.close();
process.exit(failed ? 1 : 0);
