package dayfly.runtime;

import java.lang.reflect.Array;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.util.HashMap;
import java.util.Map;

/** What the type variables of a type and of all that it extends stand for. */
final class Generics {
    private static final Generics NONE = new Generics();

    private final Map<TypeVariable<?>, Type> known = new HashMap<>();

    private Generics() {}

    static Generics of(Type type) {
        if (type instanceof Class && ((Class<?>) type).getTypeParameters().length == 0 && isPlain((Class<?>) type)) {
            return NONE;
        }
        Generics generics = new Generics();
        generics.learn(type);
        return generics;
    }

    private static boolean isPlain(Class<?> type) {
        return type.getSuperclass() == Object.class && type.getInterfaces().length == 0;
    }

    private void learn(Type type) {
        if (type instanceof ParameterizedType) {
            Type[] arguments = ((ParameterizedType) type).getActualTypeArguments();
            TypeVariable<?>[] variables = raw(type).getTypeParameters();
            for (int i = 0; i < variables.length; i++) {
                known.put(variables[i], resolve(arguments[i]));
            }
        }
        Class<?> raw = raw(type);
        for (Type above : raw.getGenericInterfaces()) {
            learn(above);
        }
        Type parent = raw.getGenericSuperclass();
        if (parent != null && parent != Object.class) {
            learn(parent);
        }
    }

    /** The type with all that is known of its variables put in. */
    Type resolve(Type type) {
        if (type instanceof Class) {
            return type;
        }
        if (type instanceof TypeVariable) {
            return known.getOrDefault(type, type);
        }
        if (type instanceof ParameterizedType) {
            Type[] arguments = ((ParameterizedType) type).getActualTypeArguments();
            Type[] resolved = new Type[arguments.length];
            for (int i = 0; i < arguments.length; i++) {
                resolved[i] = resolve(arguments[i]);
            }
            return new Applied(raw(type), resolved);
        }
        if (type instanceof GenericArrayType) {
            Type element = resolve(((GenericArrayType) type).getGenericComponentType());
            return element instanceof Class ? Array.newInstance((Class<?>) element, 0).getClass() : type;
        }
        return type instanceof WildcardType ? resolve(((WildcardType) type).getUpperBounds()[0]) : type;
    }

    /** What a variable stands for; `null`: nothing that is known. */
    Type argument(Class<?> owner, int index) {
        return known.get(owner.getTypeParameters()[index]);
    }

    /** The class behind a type. */
    static Class<?> raw(Type type) {
        if (type instanceof Class) {
            return (Class<?>) type;
        }
        if (type instanceof ParameterizedType) {
            return (Class<?>) ((ParameterizedType) type).getRawType();
        }
        if (type instanceof GenericArrayType) {
            return Array.newInstance(raw(((GenericArrayType) type).getGenericComponentType()), 0).getClass();
        }
        if (type instanceof WildcardType) {
            return raw(((WildcardType) type).getUpperBounds()[0]);
        }
        return raw(((TypeVariable<?>) type).getBounds()[0]);
    }

    private static final class Applied implements ParameterizedType {
        private final Class<?> raw;
        private final Type[] arguments;

        Applied(Class<?> raw, Type[] arguments) {
            this.raw = raw;
            this.arguments = arguments;
        }

        @Override
        public Type[] getActualTypeArguments() {
            return arguments;
        }

        @Override
        public Type getRawType() {
            return raw;
        }

        @Override
        public Type getOwnerType() {
            return raw.getDeclaringClass();
        }
    }
}
