package qupath.lib.objects.classes;

public class PathClass {
    private PathClass() {}
    public native Integer getColor();
}
