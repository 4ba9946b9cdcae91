package cases;

import com.amazonaws.services.lambda.runtime.Context;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;

/** Events and answers of many types. */
public class Values {
    public enum Color { RED, GREEN { @Override public String toString() { return "leaf"; } } }

    public Object any(Object event) { return event; }
    public String kinds(List<Object> event) {
        StringBuilder out = new StringBuilder();
        for (Object one : event) out.append(one == null ? "null" : one.getClass().getName()).append(' ');
        return out.toString();
    }
    public String text(String event) { return event + "!"; }
    public int number(int event) { return event + 1; }
    public Long boxed(Long event) { return event; }
    public double real(double event) { return event; }
    public boolean truth(boolean event) { return !event; }
    public char letter(char event) { return event; }
    public BigDecimal decimal(BigDecimal event) { return event; }
    public byte[] bytes(byte[] event) { event[0]++; return event; }
    public int[] numbers(int[] event) { return event; }
    public List<Long> list(List<Long> event) { return event; }
    public Set<String> set(Set<String> event) { return event; }
    public Map<String, Integer> map(Map<String, Integer> event) { return event; }
    public TreeMap<Integer, String> sorted(TreeMap<Integer, String> event) { return event; }
    public Map<Color, List<Color>> colors(Map<Color, List<Color>> event) { return event; }
    public Color color(Color event) { return event; }
    public Optional<String> optional(Optional<String> event) { return event; }
    public void nothing(String event) { }
    public Void none() { return null; }
    public String noArguments() { return "none"; }
    public String onlyContext(Context context) { return context.getFunctionName(); }
    public Object both(Map<String, Object> event, Context context) { return event.get("k") + context.getFunctionName(); }
    public Date date(Date event) { return event; }
    public Instant instant(Instant event) { return event; }
    public LocalDate day(LocalDate event) { return event; }
    public LocalDateTime moment(LocalDateTime event) { return event; }
    public UUID uuid(UUID event) { return event; }

    public Object odd(String event) {
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("nan", Double.NaN);
        out.put("infinite", Float.NEGATIVE_INFINITY);
        out.put("decimal", new BigDecimal("1.10"));
        out.put("small", new BigDecimal("1E-10"));
        out.put("big", new BigInteger("123456789012345678901234567890"));
        out.put("float", 1.1f);
        out.put("double", 1e21);
        out.put("char", 'c');
        out.put("null", null);
        out.put("uri", URI.create("http://x/"));
        out.put("day", LocalDate.of(2026, 1, 2));
        out.put("moment", LocalDateTime.of(2026, 1, 2, 3, 4));
        out.put("length", Duration.ofMillis(1500));
        out.put("instant", Instant.ofEpochSecond(1, 5_000_000));
        out.put("uuid", new UUID(1, 2));
        out.put("class", String.class);
        out.put("array", new Object[] {1, null, "x"});
        out.put("letters", new char[] {'a', 'b'});
        out.put("empty", Optional.empty());
        out.put("full", Optional.of(1));
        out.put("color", Color.GREEN);
        out.put("builder", new StringBuilder("b"));
        out.put("list", Arrays.asList(1, null, 2.0, Collections.emptyList()));
        out.put("text", "\u00e9\u2028\ud83d\ude00\u007f\"\\/\n\t\b\f\r\u0001\u001f<>&'");
        return out;
    }

    public Object circle(String event) {
        List<Object> list = new ArrayList<>();
        list.add(list);
        return list;
    }

    public Object nullKey(String event) { return Collections.singletonMap(null, 1); }
    public Object plainObject(String event) { return new Object(); }
    public String large(int event) { return "x".repeat(event); }
}
