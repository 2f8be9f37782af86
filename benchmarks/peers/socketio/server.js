// socket.io with its Redis Streams adapter, as the adapter's README sets it up, over websocket alone.
//
// Streams say with `?room=` where they listen, senders with `?to=` whom they speak to. A send is answered "taken",
// that is when the server has begun to hand it on, and not when Redis has it: emit() does not tell when that is.
//
// usage: node server.js PORT REDIS_PORT     (NODE_PATH names the folder node_modules)
"use strict";
const { createServer } = require("http");
const { createClient } = require("redis");
const { Server } = require("socket.io");
const { createAdapter } = require("@socket.io/redis-streams-adapter");

const [port, redisPort] = process.argv.slice(2).map(Number);

async function main() {
  const redis = createClient({ url: `redis://127.0.0.1:${redisPort}` });
  await redis.connect();
  const http = createServer();
  const io = new Server(http, { transports: ["websocket"], adapter: createAdapter(redis) });
  io.on("connection", (socket) => {
    const { room } = socket.handshake.query;
    if (room) socket.join(room);
    socket.on("send", (text, answer) => {
      io.to(socket.handshake.query.to).emit("message", text);
      answer("taken");
    });
  });
  http.listen({ port, host: "127.0.0.1", backlog: 4096 });
}

main();
