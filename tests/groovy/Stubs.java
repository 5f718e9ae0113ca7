import java.io.File;
import java.io.IOException;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.Member;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/*
 * Are the stubs true? Each class, method, field and constructor of theirs is looked for in a real QuPath:
 *
 *     java -cp CLASSES Stubs STUBS QUPATH       STUBS: a folder of compiled stubs, QUPATH: one of jars
 */
public class Stubs {

    public static void main(String[] given) throws Exception {
        Path stubs = Path.of(given[0]);
        URLClassLoader ours = loader(List.of(stubs), List.of(given[1]));
        URLClassLoader theirs = loader(List.of(), List.of(given[1]));
        List<String> wrong = new ArrayList<>();
        int members = 0;
        for (String name : names(stubs)) {
            Class<?> stub = Class.forName(name, false, ours);
            Class<?> real;
            try {
                real = Class.forName(name, false, theirs);
            } catch (ClassNotFoundException e) {
                wrong.add(name);
                continue;
            }
            if (stub.isInterface() != real.isInterface())
                wrong.add(name + " is " + (real.isInterface() ? "an" : "no") + " interface");
            for (Member member : members(stub)) {
                members++;
                if (!has(real, member) && Build.LATER.stream().noneMatch(text(member)::equals))
                    wrong.add(text(member));
            }
        }
        wrong.forEach(text -> System.out.println("ERROR This QuPath lacks " + text));
        System.out.println(members + " members compared");
        System.exit(wrong.isEmpty() && members > 0 ? 0 : 1);
    }

    private static URLClassLoader loader(List<Path> first, List<String> folders) throws IOException {
        List<URL> places = new ArrayList<>();
        for (Path one : first)
            places.add(one.toUri().toURL());
        for (String folder : folders)
            for (File jar : new File(folder).listFiles((f, name) -> name.endsWith(".jar")))
                places.add(jar.toURI().toURL());
        return new URLClassLoader(places.toArray(new URL[0]), ClassLoader.getPlatformClassLoader());
    }

    private static List<String> names(Path folder) throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            return all.filter(p -> p.toString().endsWith(".class"))
                .map(p -> folder.relativize(p).toString().replace(File.separatorChar, '.').replaceFirst("\\.class$", ""))
                .sorted().collect(Collectors.toList());
        }
    }

    /** What is public or protected, but for what javac adds to every enum and class by itself. */
    private static List<Member> members(Class<?> type) {
        List<Member> found = new ArrayList<>();
        if (!Modifier.isAbstract(type.getModifiers()))
            found.addAll(Arrays.asList(type.getDeclaredConstructors()));
        found.addAll(Arrays.asList(type.getDeclaredMethods()));
        found.addAll(Arrays.asList(type.getDeclaredFields()));
        found.removeIf(m -> m.isSynthetic() || !Modifier.isPublic(m.getModifiers()));
        return found;
    }

    private static boolean has(Class<?> real, Member member) {
        if (member instanceof Constructor)
            return Arrays.stream(real.getDeclaredConstructors()).anyMatch(c -> same(c, member));
        if (member instanceof Field)
            return Arrays.stream(real.getFields()).anyMatch(f -> same(f, member));
        return Stream.of(real.getMethods(), Object.class.getMethods()).flatMap(Arrays::stream)
            .anyMatch(m -> same(m, member));
    }

    private static boolean same(Member real, Member stub) {
        return signature(real).equals(signature(stub))
            && Modifier.isStatic(real.getModifiers()) == Modifier.isStatic(stub.getModifiers())
            && (!(stub instanceof Method) || returns((Method) real, ((Method) stub).getReturnType().getName()));
    }

    /** That class or one below it; of a generic one nothing is left but Object. */
    private static boolean returns(Method real, String name) {
        if (real.getReturnType() == Object.class)
            return true;
        for (Class<?> one = real.getReturnType(); one != null; one = one.getSuperclass())
            if (one.getName().equals(name))
                return true;
        return false;
    }

    private static String text(Member member) {
        return member.getDeclaringClass().getName() + "#" + signature(member);
    }

    private static String signature(Member member) {
        if (member instanceof Field)
            return member.getName();
        Class<?>[] types = member instanceof Method ? ((Method) member).getParameterTypes()
            : ((Constructor<?>) member).getParameterTypes();
        String name = member instanceof Method ? member.getName() : "new";
        return name + Arrays.stream(types).map(Class::getName).collect(Collectors.joining(", ", "(", ")"));
    }
}
