package hello;

import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Map;

/** The floor for Java: the same handler behind the JDK's own HTTP server. Prints its port once it listens. */
public class Server {
  public static void main(String[] arguments) throws Exception {
    Hello hello = new Hello();
    HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/", exchange -> {
      Map<String, Object> answer = hello.handleRequest(Map.of());
      byte[] text = ("{\"hello\":\"" + answer.get("hello") + "\",\"calls\":" + answer.get("calls") + "}").getBytes();
      exchange.sendResponseHeaders(200, text.length);
      exchange.getResponseBody().write(text);
      exchange.close();
    });
    server.start();
    System.out.println(server.getAddress().getPort());
  }
}
