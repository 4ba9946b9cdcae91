"use strict";
// What stands behind the reverse-proxy peer: a plain Node HTTP server with the same answer.
const http = require("node:http");
http
  .createServer((request, response) => {
    request.resume();
    request.on("end", () => {
      response.setHeader("content-type", "application/json");
      response.end('{"hello":"world"}');
    });
  })
  .listen(Number(process.argv[2]), "127.0.0.1");
