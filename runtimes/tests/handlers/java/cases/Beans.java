package cases;

import java.util.List;
import java.util.Map;

/** Beans of every kind. */
public class Beans {
    public static class Person {
        private String name;
        private int age;
        private Integer boxed;
        private boolean active;
        private List<Person> friends;
        private Map<String, Double> scores;
        private String secret = "s";
        public String open;
        public final String fixed = new String("f");
        public transient String gone = "g";
        public static String common = "c";

        public String getName() { return name; }
        public void setName(String name) { this.name = name; }
        public int getAge() { return age; }
        public void setAge(int age) { this.age = age; }
        public Integer getBoxed() { return boxed; }
        public void setBoxed(Integer boxed) { this.boxed = boxed; }
        public boolean isActive() { return active; }
        public void setActive(boolean active) { this.active = active; }
        public List<Person> getFriends() { return friends; }
        public void setFriends(List<Person> friends) { this.friends = friends; }
        public Map<String, Double> getScores() { return scores; }
        void setScores(Map<String, Double> scores) { this.scores = scores; }
        public String getURL() { return "u"; }
        public String getaLower() { return "l"; }
        protected String getHidden() { return "h"; }
        public String get() { return "x"; }
        public String getWith(int argument) { return "x"; }
        public void getNothing() { }
    }

    public static class Base {
        public String inBase = "b";
        public String getZ() { return "z"; }
    }

    public static class Sub extends Base {
        public String inSub = "s";
        public String getA() { return "a"; }
    }

    public static class Box<T> {
        private T value;
        private List<T> more;
        public T getValue() { return value; }
        public void setValue(T value) { this.value = value; }
        public List<T> getMore() { return more; }
        public void setMore(List<T> more) { this.more = more; }
    }

    public static class NoDefault {
        public final String name;
        public NoDefault(String name) { this.name = name; }
    }

    public static class Hidden {
        public String name;
        private Hidden() { }
    }

    public static class Throws {
        public String getName() { throw new IllegalStateException("getter"); }
        public void setName(String name) { throw new IllegalStateException("setter"); }
    }

    public static class Empty { }
    public record Pair(String left, int right) { }
    public interface Named { String getName(); }

    public Person person(Person event) { return event; }
    public Map<String, Person> people(Map<String, Person> event) { return event; }
    public Person[] array(Person[] event) { return event; }
    public Base declaredBase(String event) { return new Sub(); }
    public Object declaredObject(String event) { return new Sub(); }
    public List<Base> listOfBase(String event) { return List.of(new Sub()); }
    public Map<String, List<Base>> nested(String event) { return Map.of("k", List.of(new Sub())); }
    public Box<Base> boxed(String event) {
        Box<Base> box = new Box<>();
        box.setValue(new Sub());
        box.setMore(List.of(new Sub()));
        return box;
    }
    public Box<Map<String, Object>> nulls(String event) {
        Box<Map<String, Object>> box = new Box<>();
        box.setValue(new java.util.HashMap<>());
        box.getValue().put("n", null);
        return box;
    }
    public Box<Person> box(Box<Person> event) { event.getMore().get(0).getName(); return event; }
    public NoDefault noDefault(NoDefault event) { return event; }
    public NoDefault answer(String event) { return new NoDefault(event); }
    public Hidden hidden(Hidden event) { return event; }
    public Throws setterThrows(Throws event) { return event; }
    public Throws getterThrows(String event) { return new Throws(); }
    public Empty empty(Empty event) { return event; }
    public Pair pairOut(String event) { return new Pair(event, 1); }
    public Pair pairIn(Pair event) { return event; }
    public String named(Named event) { return "never"; }
    public Named anonymous(String event) { return () -> event; }
}
