// undici as a peer: prints "seconds N", without what Node's own start takes.
//
//     node peer_undici.cjs URL COUNT CONCURRENCY      URL?1 to URL?COUNT, each read whole
const { Pool } = require('undici');

async function get(url, count, concurrency) {
    const { origin, pathname } = new URL(url);
    const pool = new Pool(origin, { connections: concurrency, pipelining: 1 });
    let number = 0;

    async function pull() {
        while (number < count) {
            number += 1;
            const { statusCode, body } = await pool.request({
                method: 'GET',
                path: `${pathname}?${number}`,
            });
            await body.arrayBuffer();
            if (statusCode !== 200) throw new Error(`status ${statusCode}`);
        }
    }

    const begin = performance.now();
    await Promise.all(Array.from({ length: Math.min(concurrency, count) }, pull));
    console.log(`seconds ${((performance.now() - begin) / 1000).toFixed(4)}`);
    await pool.close();
}

const [url, count, concurrency] = process.argv.slice(2);
get(url, Number(count), Number(concurrency)).catch((error) => {
    console.error(`peer_undici.cjs: ${error}`);
    process.exit(1);
});
