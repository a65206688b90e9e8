// Writes playground.txt: a hundred steps of TensorFlow Playground's own network code, in the form of goldens.txt.
//
//   git clone https://github.com/tensorflow/playground
//   node --experimental-transform-types tests/data/net/make_playground.ts PLAYGROUND/src/nn.ts > tests/data/net/playground.txt
//
// (Node 22.7 or later.) With L1, whose dead links PyTorch does not have, and 25 rows in batches of 10, of which five are left
// at the end of every epoch.
const nn = await import(new URL(process.argv[2], `file://${process.cwd()}/`).href);
const [rate, pull, batch, epochs] = [0.1, 0.02, 10, 50];

let state = 1;
const random = () => (state = (state * 48271) % 2147483647) / 2147483647; // Lehmer's, by Park and Miller
const rounded = (x: number) => Math.round(x * 1e4) / 1e4;
const rows = Array.from({ length: 25 }, () => {
    const [x, y] = [rounded(random() * 4 - 2), rounded(random() * 4 - 2)];
    return [x, y, x * y > 0 ? 1 : -1];
});
const net = nn.buildNetwork([2, 3, 1], nn.Activations.TANH, nn.Activations.TANH, nn.RegularizationFunction.L1, ["x", "y"], false);
const layers = net.slice(1);
for (const node of layers.flat()) for (const link of node.inputLinks) link.weight = rounded(random() - 0.5);

const parameters = () =>
    layers.map((layer) =>
        [...layer.flatMap((node) => node.inputLinks.map((link) => link.weight)), ...layer.map((node) => node.bias)].join(" "));
const loss = () =>
    rows.reduce((sum, [x, y, t]) => sum + nn.Errors.SQUARE.error(nn.forwardProp(net, [x, y]), t), 0) / rows.length;

console.log("case playground_l1 1 2 2 3 1");
console.log(`1 1 1 ${pull} ${rate} ${batch} ${rows.length} ${epochs}`);
console.log(rows.flat().join(" "));
console.log(parameters().join("\n"));
const losses = [loss()];
for (let epoch = 0; epoch < epochs; epoch++) {
    rows.forEach(([x, y, t], i) => {
        nn.forwardProp(net, [x, y]);
        nn.backProp(net, t, nn.Errors.SQUARE);
        if ((i + 1) % batch === 0) nn.updateWeights(net, rate, pull);
    });
    losses.push(loss());
}
console.log(losses.join(" "));
console.log(parameters().join("\n"));
console.log(layers.flat().flatMap((node) => node.inputLinks).filter((link) => link.isDead).length);
