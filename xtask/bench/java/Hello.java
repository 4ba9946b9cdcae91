package hello;

import java.util.Map;

/** The hello that is deployed: a plain method, so that no library is part of what is measured. */
public class Hello {
  private static int calls = 0;

  public Map<String, Object> handleRequest(Map<String, Object> event) {
    calls += 1;
    return Map.of("hello", "world", "calls", calls);
  }
}
