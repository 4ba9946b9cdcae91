package dayfly.rehearsal;

import com.amazonaws.services.lambda.runtime.Context;

/** Beans in and out, by a method. */
public final class Plain {
    /** A bean. */
    public static final class Person {
        private String name;
        private int count;

        public String getName() {
            return name;
        }

        public void setName(String name) {
            this.name = name;
        }

        public int getCount() {
            return count;
        }

        public void setCount(int count) {
            this.count = count;
        }
    }

    public Person handle(Person person, Context context) {
        person.setCount(person.getCount() + 1);
        return person;
    }
}
