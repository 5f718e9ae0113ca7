package qupath.lib.regions;

public class ImageRegion {
    private ImageRegion() {}
}
