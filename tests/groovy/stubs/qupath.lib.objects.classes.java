package qupath.lib.objects.classes;

public class PathClass {
    public static final PathClass NULL_CLASS = null;
    private PathClass() {}
    public static native PathClass fromString(String text);
    public static native PathClass fromCollection(java.util.Collection<String> names, Integer color);
    public native Integer getColor();
    public native String getName();
    public native PathClass getParentClass();
}
