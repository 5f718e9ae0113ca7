package qupath.lib.regions;

public abstract class ImagePlane {
    public static native ImagePlane getDefaultPlane();
    public static native ImagePlane getPlaneWithChannel(int c, int z, int t);
    public abstract int getC();
    public abstract int getZ();
    public abstract int getT();
}

public class ImageRegion {
    private ImageRegion() {}
}
