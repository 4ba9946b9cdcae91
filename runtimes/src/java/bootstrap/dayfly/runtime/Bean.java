package dayfly.runtime;

import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * The properties of a class: public getters, setters of any visibility, public fields. Names follow the standard of
 * beans (`getURL` is `URL`); the order is that of the fields, then of the methods.
 */
final class Bean {
    /**
     * AWS's own classes of events name their properties otherwise than the events do, and some can only be made whole:
     * what has no setter is put into its field, and what has no constructor is made without one.
     */
    private static final String EVENTS = "com.amazonaws.services.lambda.runtime.events.";
    private static final Map<Class<?>, Bean> KNOWN = new HashMap<>();

    final Map<String, Property> properties = new LinkedHashMap<>();
    private final Class<?> type;
    private final Map<String, Property> loose;
    private Constructor<?> constructor;

    /** One of them. */
    static final class Property {
        final String name;
        Field field;
        /** A field to set where there is no other way. */
        Field last;
        Method getter;
        Method setter;

        Property(String name) {
            this.name = name;
        }

        boolean isReadable() {
            return getter != null || field != null;
        }

        Object get(Object bean) throws ReflectiveOperationException {
            return getter != null ? invoke(getter, bean) : field.get(bean);
        }

        void set(Object bean, Object value) throws ReflectiveOperationException {
            if (setter != null) {
                invoke(setter, bean, value);
            } else {
                (field == null ? last : field).set(bean, value);
            }
        }

        /** The type to read for it; `null`: it cannot be set. */
        Type settable() {
            if (setter != null) {
                return setter.getGenericParameterTypes()[0];
            }
            Field set = field == null ? last : field;
            return set == null ? null : set.getGenericType();
        }

        private static Object invoke(Method method, Object on, Object... with) throws ReflectiveOperationException {
            try {
                return method.invoke(on, with);
            } catch (InvocationTargetException thrown) {
                throw new IllegalArgumentException(method.getName() + ": " + thrown.getCause(), thrown.getCause());
            }
        }
    }

    static synchronized Bean of(Class<?> type) {
        Bean bean = KNOWN.get(type);
        if (bean == null) {
            bean = new Bean(type);
            KNOWN.put(type, bean);
        }
        return bean;
    }

    private Bean(Class<?> type) {
        this.type = type;
        boolean isEvent = type.getName().startsWith(EVENTS);
        List<Class<?>> line = new ArrayList<>();
        for (Class<?> above = type; above != null && above != Object.class; above = above.getSuperclass()) {
            line.add(above);
        }
        for (int i = line.size() - 1; i >= 0; i--) {
            for (Field field : line.get(i).getDeclaredFields()) {
                addField(field, isEvent);
            }
        }
        if (type.isRecord()) {
            for (RecordComponent component : type.getRecordComponents()) {
                component.getAccessor().trySetAccessible();
                property(component.getName()).getter = component.getAccessor();
            }
        }
        Set<String> seen = new HashSet<>();
        for (Class<?> one : line) {
            addMethods(one.getDeclaredMethods(), seen);
        }
        addMethods(type.getMethods(), seen);
        for (Iterator<Property> all = properties.values().iterator(); all.hasNext(); ) {
            Property property = all.next();
            if (!property.isReadable() && property.settable() == null) {
                all.remove();
            }
        }
        loose = isEvent ? loosely() : null;
    }

    private Property property(String name) {
        Property property = properties.get(name);
        if (property == null) {
            property = new Property(name);
            properties.put(name, property);
        }
        return property;
    }

    private void addField(Field field, boolean isEvent) {
        int modifiers = field.getModifiers();
        if (Modifier.isStatic(modifiers) || Modifier.isTransient(modifiers) || field.isSynthetic()) {
            return;
        }
        Property property = property(field.getName());
        if (Modifier.isPublic(modifiers)) {
            field.trySetAccessible();
            property.field = field;
        } else if (isEvent && field.trySetAccessible()) {
            property.last = field;
        }
    }

    private void addMethods(Method[] methods, Set<String> seen) {
        for (Method method : methods) {
            int modifiers = method.getModifiers();
            boolean skipped = Modifier.isStatic(modifiers) || method.isSynthetic();
            if (skipped || method.getDeclaringClass() == Object.class) {
                continue;
            }
            Class<?>[] parameters = method.getParameterTypes();
            if (parameters.length > 1 || !seen.add(method.getName() + (parameters.length == 0 ? "" : parameters[0]))) {
                continue;
            }
            if (parameters.length == 1) {
                addSetter(method);
            } else if (Modifier.isPublic(modifiers)) {
                addGetter(method);
            }
        }
    }

    private void addGetter(Method method) {
        Class<?> result = method.getReturnType();
        String name = after(method.getName(), "get");
        boolean is = false;
        if (name == null && (result == boolean.class || result == Boolean.class)) {
            name = after(method.getName(), "is");
            is = true;
        }
        if (name == null || result == void.class) {
            return;
        }
        Property property = property(name);
        if (property.getter == null || !is && property.getter.getName().startsWith("is")) {
            method.trySetAccessible();
            property.getter = method;
        }
    }

    private void addSetter(Method method) {
        String name = after(method.getName(), "set");
        if (name == null) {
            return;
        }
        Property property = property(name);
        if (property.setter == null || fits(method, property) && !fits(property.setter, property)) {
            method.trySetAccessible();
            property.setter = method;
        }
    }

    /** Of several setters, the one that takes what the field holds, or else a string. */
    private boolean fits(Method setter, Property property) {
        Class<?> taken = setter.getParameterTypes()[0];
        try {
            return type.getDeclaredField(property.name).getType() == taken;
        } catch (NoSuchFieldException none) {
            return taken == String.class;
        }
    }

    /** `getName` is `name`, `getURL` is `URL`. */
    private static String after(String method, String prefix) {
        int length = prefix.length();
        if (method.length() <= length || !method.startsWith(prefix)) {
            return null;
        }
        boolean isAcronym = method.length() > length + 1
                && Character.isUpperCase(method.charAt(length))
                && Character.isUpperCase(method.charAt(length + 1));
        String rest = method.substring(length);
        return isAcronym ? rest : Character.toLowerCase(rest.charAt(0)) + rest.substring(1);
    }

    private Map<String, Property> loosely() {
        Map<String, Property> map = new HashMap<>();
        for (Property property : properties.values()) {
            if (property.setter != null || property.settable() != null && !map.containsKey(loose(property.name))) {
                map.put(loose(property.name), property);
            }
        }
        return map;
    }

    private static String loose(String name) {
        return name.replace("-", "").replace("_", "").toLowerCase(Locale.ROOT);
    }

    /** The property that a member of an object is for; `null`: none. */
    Property find(String name) {
        Property property = properties.get(name);
        return loose == null || property != null && property.settable() != null ? property : loose.get(loose(name));
    }

    private boolean hasConstructor() {
        for (Constructor<?> one : type.getDeclaredConstructors()) {
            if (one.getParameterCount() == 0) {
                return true;
            }
        }
        return false;
    }

    /** A new one, made with the constructor that takes nothing. */
    Object make() throws ReflectiveOperationException {
        if (constructor == null && loose != null && !hasConstructor()) {
            return Inside.make(type);
        }
        if (constructor == null) {
            if (type.isInterface() || Modifier.isAbstract(type.getModifiers())) {
                throw new IllegalArgumentException("cannot make an abstract " + type.getName());
            }
            constructor = type.getDeclaredConstructor();
            constructor.setAccessible(true);
        }
        try {
            return constructor.newInstance();
        } catch (InvocationTargetException thrown) {
            throw new IllegalArgumentException("new " + type.getName() + ": " + thrown.getCause(), thrown.getCause());
        }
    }
}
