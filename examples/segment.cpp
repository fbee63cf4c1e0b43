// Segment an image with an exported graph alone: ./segment end2end.onnx photo.jpg mask.png
// The graph: bisenet export bisenetv2-camvid --self-contained rgb --out DIR
// Build (Debian 13: libonnxruntime-dev, libstb-dev): g++ -std=c++17 -I/usr/include/onnxruntime segment.cpp -o segment -lonnxruntime
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <cstdio>
#include <onnxruntime_cxx_api.h>
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>

int main(int, char** arguments) {
  Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "segment");
  Ort::SessionOptions options;
  options.AddConfigEntry("session.x64quantprecision", "1");  // for INT8 without VNNI; leave it out with VNNI
  Ort::Session session(env, arguments[1], options);
  Ort::AllocatorWithDefaultOptions allocator;
  auto classes = session.GetModelMetadata().LookupCustomMetadataMapAllocated("classes", allocator);
  if (classes) std::printf("classes: %s\n", classes.get());

  int width, height;
  auto* image = stbi_load(arguments[2], &width, &height, nullptr, 3);  // RGB, (H, W, 3)
  if (!image) return std::fprintf(stderr, "%s: %s\n", arguments[2], stbi_failure_reason());
  const int64_t shape[] = {1, height, width, 3};
  auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  auto input = Ort::Value::CreateTensor<uint8_t>(memory, image, 3 * width * height, shape, 4);
  auto input_name = session.GetInputNameAllocated(0, allocator), output_name = session.GetOutputNameAllocated(0, allocator);
  const char *inputs[] = {input_name.get()}, *outputs[] = {output_name.get()};
  auto result = session.Run(Ort::RunOptions(), inputs, &input, 1, outputs, 1);
  return !stbi_write_png(arguments[3], width, height, 1, result[0].GetTensorMutableData<uint8_t>(), width);
}
