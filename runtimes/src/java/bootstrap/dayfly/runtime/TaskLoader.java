package dayfly.runtime;

import java.io.File;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The user's classes: the task root, its `lib`, and the layers' `java/lib`, in this order. */
final class TaskLoader extends URLClassLoader {
    private static final String LAYERS = "/opt/java/lib";

    static {
        registerAsParallelCapable();
    }

    TaskLoader(String root) throws MalformedURLException {
        super(path(root), ClassLoader.getSystemClassLoader());
    }

    private static URL[] path(String root) throws MalformedURLException {
        List<URL> path = new ArrayList<>();
        path.add(new URL("file", null, -1, root + "/"));
        jars(root + "/lib", path);
        jars(LAYERS, path);
        return path.toArray(new URL[0]);
    }

    private static void jars(String folder, List<URL> path) throws MalformedURLException {
        String[] names = new File(folder).list();
        if (names == null) {
            return;
        }
        Arrays.sort(names);
        for (String name : names) {
            if (name.endsWith(".jar")) {
                path.add(new URL("file", null, -1, folder + "/" + name));
            }
        }
    }
}
