"use strict";
// The floor for Node: the same handler behind the same frames, with nothing else around it.
const net = require("node:net");
const path = require("node:path");
const { handler } = require(path.join(process.cwd(), "handler.js"));

const channel = new net.Socket({ fd: 0 });
let buffered = Buffer.alloc(0);
channel.on("data", async (part) => {
  buffered = buffered.length ? Buffer.concat([buffered, part]) : part;
  while (buffered.length >= 5 && buffered.length >= 5 + buffered.readUInt32LE(0)) {
    const end = 5 + buffered.readUInt32LE(0);
    const event = JSON.parse(buffered.subarray(5, end));
    buffered = buffered.subarray(end);
    const answer = Buffer.from(JSON.stringify(await handler(event)));
    const frame = Buffer.allocUnsafe(5 + answer.length);
    frame.writeUInt32LE(answer.length, 0);
    frame[4] = 18;
    answer.copy(frame, 5);
    channel.write(frame);
  }
});
channel.on("end", () => process.exit(0));
